package login

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// tokenShapes are what JWTs and tokens of Vault and of Ory look like. A piece of one
// is too much already.
var tokenShapes = regexp.MustCompile(`eyJ[A-Za-z0-9_-]{10,}|hv[sbr]\.[A-Za-z0-9_-]{8,}|ory_at_[A-Za-z0-9_-]{8,}`)

// searchForSecrets looks for tokens where none belongs: in the logs of the
// webhook, of every login and of the control plane, in what Kubernetes would
// show as termination messages, in pods and in events.
func searchForSecrets(ctx context.Context) error {
	places, err := placesWithoutSecrets(ctx)
	if err != nil {
		return err
	}
	var errs []error
	known := append([]string(nil), logins.tokens...)
	for _, token := range known {
		if !tokenShapes.MatchString(token) {
			errs = append(errs, errors.New("could not search for secrets: there are tokens of another shape"))
		}
	}
	for _, l := range logins.all {
		known = append(known, l.Tokens()...)
	}
	for name, text := range places {
		if at := tokenShapes.FindIndex(text); at != nil {
			errs = append(errs, fmt.Errorf("there is a token, or what looks like one, in %s, behind: %s", name,
				text[max(0, at[0]-100):at[0]]))
		}
		for _, token := range known {
			if contains(text, token) {
				errs = append(errs, fmt.Errorf("there is a token that a test has seen in %s", name))
			}
		}
	}
	return errors.Join(errs...)
}

// shortest is the length below which a result is no token, such as what a test
// wrote in the place of one.
const shortest = 20

func contains(text []byte, token string) bool {
	return len(token) >= shortest && bytes.Contains(text, []byte(token))
}

func placesWithoutSecrets(ctx context.Context) (map[string][]byte, error) {
	places := map[string][]byte{"the log of the webhook": []byte(webhook.Log())}
	for i, l := range logins.all {
		places[fmt.Sprintf("the log of login %d", i)] = []byte(l.Log())
		places[fmt.Sprintf("the termination message of login %d", i)] = []byte(l.TerminationMessage())
	}
	logs, err := filepath.Glob(filepath.Join(kube.LogDir(), "*.log"))
	if err != nil {
		return nil, err
	}
	for _, path := range append(logs, server.LogFile()) {
		if places[filepath.Base(path)], err = os.ReadFile(path); err != nil {
			return nil, err
		}
	}
	pods, err := kube.Client().CoreV1().Pods(metav1.NamespaceAll).List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, err
	}
	if places["the pods"], err = json.Marshal(pods); err != nil {
		return nil, err
	}
	events, err := kube.Client().EventsV1().Events(metav1.NamespaceAll).List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, err
	}
	places["the events"], err = json.Marshal(events)
	return places, err
}
