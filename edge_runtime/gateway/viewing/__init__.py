"""What the live view is made of: what it knows of the machines, and how it draws that."""
