"""The real engine and the real runtime in a made-up world: by seed, with faults, checked."""
