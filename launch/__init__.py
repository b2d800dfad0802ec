"""The programs: the only place for flags, devices and files."""
