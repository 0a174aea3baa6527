"""What a cell means: numbers, times, machine ids and headers as others write them, read alike everywhere."""
