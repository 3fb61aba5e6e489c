"""What watches a training and saves it, one handler a file; ignite and MONAI lack them."""
