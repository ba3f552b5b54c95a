// Package hostile holds the webhook to its bounds: the real program, in a control
// group as large as its container, gets what somebody would send who wants to
// stop it. Meanwhile others go on being answered.
package hostile
