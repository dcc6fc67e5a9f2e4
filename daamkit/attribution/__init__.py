"""Where in an image a word is: methods that answer, behind one protocol."""
