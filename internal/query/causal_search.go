package query

func (s *searcher) runCaused(p *pipe, c *caused, want *wanted) error {
	return &UnsupportedError{c.text() + ": not written yet"}
}

func (s *searcher) setOf(p *pipe, c *caused) (spanSet, error) {
	return nil, &UnsupportedError{c.text() + ": not written yet"}
}
