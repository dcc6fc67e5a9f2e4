"""The playground: type a prompt, draw, tick words, compare, and take the code away."""

from daamkit.views.playground.playground import Playground as Playground
