"""Terms, languages, BM25 and ROUGE-L: text processing without a model or a store."""
