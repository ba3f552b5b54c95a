package failure

import (
	"errors"
	"fmt"
	"io"
	"testing"
	"time"
)

func TestError(t *testing.T) {
	err := fmt.Errorf("outer: %w", &Error{Class: Denied, Doing: "log in", Cause: io.EOF, RetryAfter: time.Second})
	if got, want := err.Error(), "outer: could not log in: EOF"; got != want {
		t.Errorf("%q instead of %q", got, want)
	}
	if !errors.Is(err, io.EOF) {
		t.Error("the cause is lost")
	}
	if got := Of(err); got != (Facts{Class: Denied, RetryAfter: time.Second}) {
		t.Errorf("%+v", got)
	}
	if got := Of(io.EOF); got != (Facts{Class: Network}) {
		t.Errorf("unclassified: %+v", got)
	}
}

func TestClasses(t *testing.T) {
	seen := map[Class]bool{}
	for _, class := range Classes() {
		if class == "" || seen[class] {
			t.Errorf("class %q", class)
		}
		seen[class] = true
	}
}
