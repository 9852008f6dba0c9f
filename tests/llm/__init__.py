"""The room of the models: what is asked, what is answered, and what goes wrong on the way."""
