package e2e

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// browsers are programs that speak the DevTools protocol over pipes.
var browsers = []string{"chromium", "chromium-browser", "google-chrome", "google-chrome-stable"}

// browser is a real one, without a window, that runs no scripts of pages.
type browser struct {
	t       *testing.T
	in      io.Writer
	out     *bufio.Reader
	session string
	last    int // id of a command

	loads   int      // pages that were loaded
	asked   []string // addresses that pages asked for
	refused []string // what it said of pages that it did not like
}

// startBrowser skips the test where none is installed.
func startBrowser(t *testing.T, width, height int) *browser {
	t.Helper()
	var path string
	for _, name := range browsers {
		if path, _ = exec.LookPath(name); path != "" {
			break
		}
	}
	if path == "" {
		t.Skipf("no browser is installed, so nobody looks at the page: install one of %s", strings.Join(browsers, ", "))
	}
	commandsOut, commandsIn, err := os.Pipe()
	require.NoError(t, err)
	answersOut, answersIn, err := os.Pipe()
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	cmd := exec.CommandContext(ctx, path, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
		"--remote-debugging-pipe", "--user-data-dir="+t.TempDir(), fmt.Sprintf("--window-size=%d,%d", width, height))
	cmd.ExtraFiles = []*os.File{commandsOut, answersIn}
	log := &syncBuffer{}
	cmd.Stdout, cmd.Stderr = log, log
	require.NoError(t, cmd.Start())
	_, _ = commandsOut.Close(), answersIn.Close()
	b := &browser{t: t, in: commandsIn, out: bufio.NewReader(answersOut)}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the browser's log:\n%s", log)
		}
		_ = b.say("Browser.close", nil) // so that it leaves its folder
		_ = cmd.Wait()
		cancel()
		_, _ = commandsIn.Close(), answersOut.Close()
	})

	var target struct{ TargetID string }
	b.do("Target.createTarget", map[string]any{"url": "about:blank"}, &target)
	var attached struct{ SessionID string }
	b.do("Target.attachToTarget", map[string]any{"targetId": target.TargetID, "flatten": true}, &attached)
	b.session = attached.SessionID
	for _, domain := range []string{"Page", "Runtime", "Network", "Log"} {
		b.do(domain+".enable", nil, nil)
	}
	b.do("Emulation.setScriptExecutionDisabled", map[string]any{"value": true}, nil)
	return b
}

// say sends a command.
func (b *browser) say(method string, params any) error {
	b.last++
	message := map[string]any{"id": b.last, "method": method}
	if params != nil {
		message["params"] = params
	}
	if b.session != "" {
		message["sessionId"] = b.session
	}
	encoded, err := json.Marshal(message)
	if err == nil {
		_, err = b.in.Write(append(encoded, 0))
	}
	return err
}

// do sends a command and waits until it is done.
func (b *browser) do(method string, params, into any) {
	b.t.Helper()
	require.NoError(b.t, b.say(method, params))
	for {
		if answer, id := b.hear(); id == b.last {
			if into != nil {
				require.NoError(b.t, json.Unmarshal(answer, into), string(answer))
			}
			return
		}
	}
}

// hear reads the next message: an answer to the command of that id, or an
// event, whose id is 0.
func (b *browser) hear() (answer []byte, id int) {
	b.t.Helper()
	text, err := b.out.ReadBytes(0)
	require.NoError(b.t, err, "the browser ended")
	var message struct {
		ID     int
		Method string
		Error  json.RawMessage
		Result json.RawMessage
		Params struct {
			Request struct{ URL string }
			Entry   struct{ Source, Level, Text string }
		}
	}
	require.NoError(b.t, json.Unmarshal(text[:len(text)-1], &message))
	require.Empty(b.t, message.Error, string(text))
	switch message.Method {
	case "Page.loadEventFired":
		b.loads++
	case "Network.requestWillBeSent":
		b.asked = append(b.asked, message.Params.Request.URL)
	case "Log.entryAdded":
		b.refused = append(b.refused, message.Params.Entry.Source+": "+message.Params.Entry.Text)
	}
	return message.Result, message.ID
}

// loading does what makes the browser load a page, and waits until it is there.
func (b *browser) loading(act func()) {
	b.t.Helper()
	before := b.loads
	act()
	for b.loads == before {
		b.hear()
	}
}

func (b *browser) open(address string) {
	b.t.Helper()
	b.loading(func() { b.do("Page.navigate", map[string]any{"url": address}, nil) })
}

// read returns what an expression says of the page.
func (b *browser) read(expression string, into any) {
	b.t.Helper()
	var answer struct {
		Result           struct{ Value json.RawMessage }
		ExceptionDetails json.RawMessage
	}
	b.do("Runtime.evaluate", map[string]any{"expression": expression, "returnByValue": true}, &answer)
	require.Empty(b.t, answer.ExceptionDetails, expression)
	require.NoError(b.t, json.Unmarshal(answer.Result.Value, into), expression)
}

func (b *browser) text(selector string) string {
	b.t.Helper()
	var text string
	b.read(fmt.Sprintf(`document.querySelector(%q).textContent`, selector), &text)
	return text
}

func (b *browser) count(selector string) int {
	b.t.Helper()
	var n int
	b.read(fmt.Sprintf(`document.querySelectorAll(%q).length`, selector), &n)
	return n
}

// click presses the mouse's button on the middle of an element.
func (b *browser) click(selector string) {
	b.t.Helper()
	var at struct{ X, Y float64 }
	b.read(fmt.Sprintf(`(() => {
		const e = document.querySelector(%q)
		e.scrollIntoView({block: "center", inline: "center"})
		const r = e.getClientRects()[0]
		return {x: r.x + r.width / 2, y: r.y + r.height / 2}
	})()`, selector), &at)
	for _, kind := range []string{"mousePressed", "mouseReleased"} {
		b.do("Input.dispatchMouseEvent", map[string]any{"type": kind, "x": at.X, "y": at.Y, "button": "left", "clickCount": 1}, nil)
	}
}

// write types into what has the focus.
func (b *browser) write(text string) {
	b.t.Helper()
	b.do("Input.insertText", map[string]any{"text": text}, nil)
}

// enter presses the key of that name.
func (b *browser) enter() {
	b.t.Helper()
	b.do("Input.dispatchKeyEvent", map[string]any{"type": "keyDown", "key": "Enter", "code": "Enter", "windowsVirtualKeyCode": 13, "text": "\r"}, nil)
	b.do("Input.dispatchKeyEvent", map[string]any{"type": "keyUp", "key": "Enter", "code": "Enter", "windowsVirtualKeyCode": 13}, nil)
}
