"""What people say of images and maps, asked one thing at a time."""

from daamkit.views.rating.rating import Rating as Rating
