"""What the command line can do, a file or a folder for each command; none imports another.

The function of a command imports what it needs itself: ``dwskd --help`` imports all of them, and torch takes seconds.
"""
