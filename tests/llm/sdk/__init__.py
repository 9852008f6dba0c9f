"""What we send and read, held against the types of the providers' own libraries."""
