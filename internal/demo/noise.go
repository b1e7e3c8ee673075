package demo

func (s *story) noise() {}
