"""The comparison as one HTML file that people can read: the sentence first, then how sure, then what it rests on."""
