"""Tests against real engines, one of each release that Debian packages."""
