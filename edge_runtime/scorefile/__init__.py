"""What `edge-detect score` does: a file in, the same rows with their scores out, in bounded memory."""
