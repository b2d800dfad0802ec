"""Regression of arithmetic functions of real numbers."""
