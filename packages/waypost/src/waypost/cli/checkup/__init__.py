"""What ``waypost doctor`` looks at: each module is one side of it, each function a look that ends in findings."""
