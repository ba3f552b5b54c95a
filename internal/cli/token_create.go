package cli

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/oidc-injector/oidc-injector/internal/annotations"
	"github.com/oidc-injector/oidc-injector/internal/issuer"
)

// createOptions are those of "token create".
type createOptions struct {
	targetFlags
	token, output string
	print         bool
}

func newTokenCreateCommand(g *globals) *cobra.Command {
	o := createOptions{output: outputText}
	c := &cobra.Command{
		Use:   "create POD|TYPE/NAME|-f FILE",
		Short: "Requests the token that a pod gets, and shows it",
		Long: `Requests the token that the kubelet would request for a pod, by the API server's
TokenRequest: for the same audience, with the same lifetime, and bound to the pod.
For a workload it is one of its pods; for a file, and for a workload without pods,
the token is bound to none.

It shows what the token says. With --print it prints the token, and nothing else:
a token is a secret as long as it is valid. You need the right to create
serviceaccounts/token, which the audit log of the API server shows.`,
		Example: `  kubectl oidc-injector token create app
  kubectl oidc-injector token create deploy/app --token aws
  kubectl oidc-injector token create app --print | kubectl oidc-injector token verify --from-cluster`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			if err := checkOutput(o.output); err != nil {
				return err
			}
			return g.createToken(c.Context(), &o, args)
		},
	}
	o.add(c)
	addOutput(c, &o.output)
	c.Flags().StringVar(&o.token, "token", "", "Name of the token, the suffix of its annotations; default for the one without")
	c.Flags().BoolVar(&o.print, "print", false, "Print the token instead of what it says")
	return c
}

func (g *globals) createToken(ctx context.Context, o *createOptions, args []string) error {
	t, spec, err := o.asked(ctx, g, args)
	if err != nil {
		return err
	}
	token, err := onlyToken(spec, o.token)
	if err != nil {
		return err
	}
	client, err := g.client()
	if err != nil {
		return err
	}
	bound, err := podOf(ctx, client, t)
	if err != nil {
		return err
	}
	if bound == nil {
		fmt.Fprintf(g.ErrOut, "note: %s has no pod in the cluster, so the token is bound to none\n", t.of)
	}
	text, err := requestToken(ctx, client, t, token, bound)
	if err != nil {
		return err
	}
	if o.print {
		_, err := fmt.Fprintln(g.Out, text)
		return err
	}
	parsed, err := issuer.Parse(text)
	if err != nil {
		return fmt.Errorf("the API server's answer: %w", err)
	}
	return g.printInspection(parsed, o.output)
}

// client is one of the cluster.
func (g *globals) client() (kubernetes.Interface, error) {
	config, err := g.cluster.ToRESTConfig()
	if err != nil {
		return nil, err
	}
	return kubernetes.NewForConfig(config)
}

// podOf is the pod that the token is bound to, or nil: the target itself, or the newest
// one of its pods.
func podOf(ctx context.Context, client kubernetes.Interface, t *target) (*corev1.Pod, error) {
	if t.live {
		return t.pod, nil
	}
	return newestPod(ctx, client, t, func(p *corev1.Pod) bool {
		return p.Status.Phase != corev1.PodSucceeded && p.Status.Phase != corev1.PodFailed &&
			p.Spec.ServiceAccountName == t.pod.Spec.ServiceAccountName
	})
}

// requestToken asks as the kubelet does (k8s.io/kubernetes pkg/volume/projected).
func requestToken(
	ctx context.Context, client kubernetes.Interface, t *target, token *annotations.Token, bound *corev1.Pod,
) (string, error) {
	request := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{
		Audiences: []string{token.Audience}, ExpirationSeconds: &token.ExpirationSeconds,
	}}
	if bound != nil {
		request.Spec.BoundObjectRef = &authenticationv1.BoundObjectReference{
			APIVersion: "v1", Kind: "Pod", Name: bound.Name,
			UID: bound.UID,
		}
	}
	account := t.pod.Spec.ServiceAccountName
	answer, err := client.CoreV1().ServiceAccounts(t.pod.Namespace).CreateToken(ctx, account, request, metav1.CreateOptions{})
	if err != nil {
		err = fmt.Errorf("could not request a token of the ServiceAccount %s/%s: %w", t.pod.Namespace, account, err)
		if apierrors.IsForbidden(err) {
			err = withHint(err, "you need the right to create serviceaccounts/token in the namespace, or --as somebody who has it")
		}
		return "", err
	}
	return answer.Status.Token, nil
}
