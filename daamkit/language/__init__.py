"""What the words of a prompt have to do with each other."""
