"""Changing a branch's attention while an image is made: silence a word, replay, knock out heads."""
