"""Sections of the page: values of claims, tables and figures, each made by one function in a module of its own."""
