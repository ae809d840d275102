"""Import every module of the installed packages, so that an undeclared dependency shows.

Called by `run` in an environment that holds the wheel and what it declares, nothing else.
"""

import importlib
import pkgutil
import sys

# These need an optional extra; they say so themselves when it is missing.
EXTRA = ("adapters.demo", "adapters.sandbox.mail", "adapters.sandbox.server")


def main() -> int:
    """Import all modules, print how many, and give 1 if one could not be imported."""
    broken = 0
    imported = 0
    for package in ("engine", "actors", "adapters"):
        root = importlib.import_module(package)
        for module in pkgutil.walk_packages(root.__path__, prefix=f"{package}."):
            if module.name.startswith(EXTRA) or module.name.endswith(".__main__"):
                continue
            try:
                importlib.import_module(module.name)
            except ImportError as error:
                sys.stdout.write(f"{module.name}: {error}\n")
                broken = 1
            imported += 1
    sys.stdout.write(f"{imported} modules imported\n")
    return broken


if __name__ == "__main__":
    sys.exit(main())
