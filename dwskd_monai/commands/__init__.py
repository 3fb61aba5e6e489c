"""What the command line can do, a file or a folder for each command; none imports another."""
