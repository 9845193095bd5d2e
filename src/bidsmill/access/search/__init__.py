"""Counting events and rows of a whole store by HED and conditions, without a signal."""
