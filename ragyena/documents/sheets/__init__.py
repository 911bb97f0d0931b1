"""Workbooks of any format: their cells as shown, found to be tables, and written so that every row has its names."""
