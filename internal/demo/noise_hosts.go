package demo

func (s *story) updates()     {}
func (s *story) backups()     {}
func (s *story) management()  {}
func (s *story) development() {}
