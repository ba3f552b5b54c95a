// Package providers tries the providers of internal/provider with what reads them: the
// SDKs of the relying parties. It is a module of its own, so that nothing else needs
// those SDKs. There is nothing but tests.
package providers
