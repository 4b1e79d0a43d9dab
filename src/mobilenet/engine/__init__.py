"""Running a network without torch: the native engine, and the numpy references that specify it."""
