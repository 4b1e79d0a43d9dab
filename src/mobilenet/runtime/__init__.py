"""Running a network without torch: the numpy reference is the specification of everything faster."""
