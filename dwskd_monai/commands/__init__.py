"""The commands of the command line: a file or a folder for each. None of them imports another.

The function of a command imports what it needs when it is called: ``dwskd --help`` imports all commands, and importing
torch takes seconds.
"""
