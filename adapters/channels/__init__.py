"""Ways to reach a customer, one file each, behind the `Channel` port."""
