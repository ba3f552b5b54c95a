// Package authserver runs a real OAuth authorization server for tests: one that
// trusts the ServiceAccount tokens of a cluster and gives access tokens for
// them, in the three ways that the standards know:
//
//   - RFC 8693, token exchange: the token is the subject_token.
//   - RFC 7523 section 2.1, the JWT bearer grant: the token is the assertion.
//   - RFC 7523 section 2.2, client_credentials of a client that the token
//     authenticates: the token is the client_assertion.
//
// Requests are parsed, told apart, validated and answered by
// github.com/zitadel/oidc, so that it judges a client as a server in the field
// does. This package adds what such a library leaves to its user: whom to trust,
// which clients there are, and where issued tokens are kept. The issuer of
// ServiceAccount tokens is known by its URL and its CA, and nothing else: its
// keys are found by discovery.
//
//	server := authserver.StartForTest(t, authserver.Options{
//		IssuerURL: c.Issuer(),
//		IssuerCA:  c.CA(),
//		Audience:  "https://auth.example.com",
//		Clients:   map[string][]string{"billing": {"system:serviceaccount:prod:billing"}},
//	})
//	// a login of the pod, at server.TokenEndpoint(), which gave a token
//	issued, err := server.Verify(ctx, token)
//
// # Clients
//
// Kubernetes decides what a ServiceAccount token says: iss is the cluster and sub
// the ServiceAccount, neither is a client_id. So Options.Clients tells which
// subjects act for which client, as "federated credentials" do elsewhere. A client
// assertion therefore need not come with a client_id; if it does, both must mean
// the same client. A token exchange needs one or the other: the library asks for
// client_id or client_assertion. The JWT bearer grant needs neither.
//
// # Addresses
//
// The server listens on 127.0.0.1. Pods of a cluster with a node reach it at the
// node's address once that is among Options.ExtraIPs and Cluster.Expose was told
// its Port; IssuerAt is then its issuer, as metadata and access tokens name the
// host that was asked for.
//
// # Refusals
//
// An answer says little of why a token was refused; Request.Refusal says more, and
// the library logs it with slog's default logger, without tokens. The library
// forgives what it does not need: a parameter that it does not know or finds twice,
// parameters in the URL, and GET. Tests of a client look at Requests for that.
package authserver
