"""From attention to runs."""
