package queryextension

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strings"

	"github.com/otelscope/otelscope/internal/views"
)

// leadsShown is how many effects of each row of errors an answer has.
const leadsShown = 20

// viewHandlers are the views there are, in the order of the list.
var viewHandlers = []struct {
	name, about string
	answer      func([]*views.Summary, viewQuery) (any, error)
}{
	{views.ServiceGraph, "Which services cause what in which, by type of edge", serviceGraph},
	{views.OperationsView, "Rate, errors and durations by service, name and kind of span", operations},
	{views.ErrorsView, "Failures that look alike, and where they lead", failureRows},
	{views.ProcessesView, "The processes seen, and which started which", processTree},
}

// viewQuery is what a request asks of a view.
type viewQuery struct {
	service string
	node    string
	limit   int
	cursor  string
}

func viewQueryOf(req *http.Request) (viewQuery, error) {
	limit, err := limitOf(req)
	query := req.URL.Query()
	return viewQuery{query.Get("service"), query.Get("node"), limit, query.Get("cursor")}, err
}

type viewsJSON struct {
	Views []viewJSON `json:"views"`
	// MissingParts is of how many parts of the store the views know nothing.
	MissingParts uint64 `json:"missing_parts"`
}

type viewJSON struct {
	Name        string `json:"name"`
	Description string `json:"description"`
	Rows        int    `json:"rows"`
}

// pageJSON is what every answer with rows of a view has.
type pageJSON struct {
	Name string `json:"name"`
	// Omitted is how many rows bounds folded into "(other)" or dropped.
	Omitted      uint64 `json:"omitted"`
	MissingParts uint64 `json:"missing_parts"`
	Truncated    bool   `json:"truncated"`
	Cursor       string `json:"cursor,omitempty"` // where the next page begins, if truncated
}

func (a *api) listViews(w http.ResponseWriter, req *http.Request) error {
	if err := a.follower.settled(req.Context()); err != nil {
		return err
	}
	answer := viewsJSON{}
	a.follower.views.with(func(of []*views.Summary) {
		rows := views.Count(of...)
		for _, v := range viewHandlers {
			answer.Views = append(answer.Views, viewJSON{v.name, v.about, rows[v.name]})
		}
		answer.MissingParts = missingParts(of)
	})
	writeJSON(w, "application/json", http.StatusOK, answer)
	return nil
}

func (a *api) view(w http.ResponseWriter, req *http.Request) error {
	return a.answerView(w, req, req.PathValue("name"))
}

func (a *api) processes(w http.ResponseWriter, req *http.Request) error {
	return a.answerView(w, req, views.ProcessesView)
}

func (a *api) answerView(w http.ResponseWriter, req *http.Request, name string) error {
	at, names := -1, make([]string, len(viewHandlers))
	for i, v := range viewHandlers {
		names[i] = v.name
		if v.name == name {
			at = i
		}
	}
	if at < 0 {
		return newProblem(http.StatusNotFound, "name", "there is no view %q: there are %s", name, strings.Join(names, ", "))
	}
	query, err := viewQueryOf(req)
	if err != nil {
		return err
	}
	if err := a.follower.settled(req.Context()); err != nil {
		return err
	}
	var answer any
	a.follower.views.with(func(of []*views.Summary) { answer, err = viewHandlers[at].answer(of, query) })
	if err != nil {
		return err
	}
	writeJSON(w, "application/json", http.StatusOK, answer)
	return nil
}

// missingParts is how many parts have no summary, such as blocks that were
// written before there were any.
func missingParts(of []*views.Summary) (n uint64) {
	for _, s := range of {
		n += s.Missing
	}
	return n
}

// rowsOf asks for a page of rows and says what there is of it.
func rowsOf[K, R any](name string, of []*views.Summary, q viewQuery, keep func(K) bool,
	ask func(views.Query[K], ...*views.Summary) views.Page[K, R],
) ([]views.Row[K, R], pageJSON, error) {
	after, err := afterOf[K](q.cursor)
	if err != nil {
		return nil, pageJSON{}, err
	}
	found := ask(views.Query[K]{After: after, Keep: keep, Limit: q.limit}, of...)
	page := pageJSON{Name: name, Omitted: found.Omitted, MissingParts: missingParts(of), Truncated: found.More}
	if found.More {
		page.Cursor = cursorOf(found.Rows[len(found.Rows)-1].Key)
	}
	return found.Rows, page, nil
}

// cursorOf is the cursor of what comes behind a key.
func cursorOf[K any](key K) string {
	b, _ := json.Marshal(key) // texts and numbers always encode
	return base64.RawURLEncoding.EncodeToString(b)
}

func afterOf[K any](cursor string) (*K, error) {
	if cursor == "" {
		return nil, nil
	}
	key := new(K)
	b, err := base64.RawURLEncoding.DecodeString(cursor)
	if err == nil {
		err = json.Unmarshal(b, key)
	}
	if err != nil {
		return nil, newProblem(http.StatusBadRequest, "cursor", "%q is no cursor of an earlier answer", cursor)
	}
	return key, nil
}
