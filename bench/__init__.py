"""What measures Tidegate: each figure beside its reference, in one run (`make bench`)."""
