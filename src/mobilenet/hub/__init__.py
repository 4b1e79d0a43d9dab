"""Model cards, and models on their way to the Hugging Face hub. Pushing needs the extra ``[hub]``; a card needs nothing."""
