"""Terms, languages, BM25 and ROUGE-L: text without a model or a store."""
