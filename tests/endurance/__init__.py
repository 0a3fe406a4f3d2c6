"""What takes minutes: run by `nox -s endurance`, and by no other routine."""
