package queryextension

import (
	"encoding/json"
	"net/http"

	"go.uber.org/zap"

	"github.com/otelscope/otelscope/internal/hub"
	"github.com/otelscope/otelscope/internal/pressure"
)

// The control calls work on all instances that are registered, one after the
// other in the order of their ids. What a lever may be set to it alone knows:
// the first that refuses ends the call, and those before it keep what they
// were set to.

type pausedJSON struct {
	Paused bool `json:"paused"`
}

type workersJSON struct {
	Min int `json:"min"`
	Max int `json:"max"`
}

type batchJSON struct {
	MinSize int `json:"min_size"`
	MaxSize int `json:"max_size"`
}

type strategyJSON struct {
	Strategy pressure.Strategy `json:"strategy"`
}

type samplingJSON struct {
	Ratio *float64 `json:"ratio"`
}

func (a *api) pause(w http.ResponseWriter, req *http.Request) error {
	return a.setPaused(w, req, true, hub.Intake.Pause)
}

func (a *api) resume(w http.ResponseWriter, req *http.Request) error {
	return a.setPaused(w, req, false, hub.Intake.Resume)
}

func (a *api) setPaused(w http.ResponseWriter, req *http.Request, paused bool, set func(hub.Intake)) error {
	if err := readJSON(req, &struct{}{}); err != nil {
		return err
	}
	err := a.setIntake(func(levers hub.Intake) error {
		set(levers)
		return nil
	})
	if err != nil {
		return err
	}
	return a.changed(w, req, pausedJSON{paused})
}

func (a *api) setWorkers(w http.ResponseWriter, req *http.Request) error {
	var body struct {
		Min json.RawMessage `json:"min"`
		Max json.RawMessage `json:"max"`
	}
	if err := readJSON(req, &body); err != nil {
		return err
	}
	low, high, err := wholeNumbers("min", body.Min, "max", body.Max)
	if err != nil {
		return err
	}
	if err := a.setIntake(func(levers hub.Intake) error { return levers.SetWorkers(low, high) }); err != nil {
		return err
	}
	return a.changed(w, req, workersJSON{low, high})
}

func (a *api) setBatch(w http.ResponseWriter, req *http.Request) error {
	var body struct {
		MinSize json.RawMessage `json:"min_size"`
		MaxSize json.RawMessage `json:"max_size"`
	}
	if err := readJSON(req, &body); err != nil {
		return err
	}
	low, high, err := wholeNumbers("min_size", body.MinSize, "max_size", body.MaxSize)
	if err != nil {
		return err
	}
	if err := a.setIntake(func(levers hub.Intake) error { return levers.SetBatch(low, high) }); err != nil {
		return err
	}
	return a.changed(w, req, batchJSON{low, high})
}

func wholeNumbers(lowName string, low json.RawMessage, highName string, high json.RawMessage) (lowValue, highValue int, err error) {
	const allowed = "a whole number"
	if lowValue, err = notNull[int](lowName, low, allowed); err != nil {
		return 0, 0, err
	}
	highValue, err = notNull[int](highName, high, allowed)
	return lowValue, highValue, err
}

// setStrategy steps the monitor, so that what is answered is in force.
func (a *api) setStrategy(w http.ResponseWriter, req *http.Request) error {
	var body struct {
		Strategy json.RawMessage `json:"strategy"`
	}
	if err := readJSON(req, &body); err != nil {
		return err
	}
	allowed := "one of " + pressure.StrategyNames()
	name, err := notNull[string]("strategy", body.Strategy, allowed)
	if err != nil {
		return err
	}
	strategy, err := pressure.ParseStrategy(name)
	if err != nil {
		return notAllowed("strategy", body.Strategy, allowed)
	}
	if _, err := a.samplers(); err != nil {
		return err
	}
	a.monitor.SetStrategy(strategy)
	a.monitor.Step()
	return a.changed(w, req, strategyJSON{a.monitor.State().Strategy})
}

func (a *api) setSampling(w http.ResponseWriter, req *http.Request) error {
	var body struct {
		Ratio json.RawMessage `json:"ratio"`
	}
	if err := readJSON(req, &body); err != nil {
		return err
	}
	const allowed = "a number above 0 and up to 1, or null to follow the load"
	ratio, err := field[*float64]("ratio", body.Ratio, allowed)
	if err != nil {
		return err
	}
	if ratio != nil && !(*ratio > 0 && *ratio <= 1) {
		return notAllowed("ratio", body.Ratio, allowed)
	}
	samplers, err := a.samplers()
	if err != nil {
		return err
	}
	if err := setAll(samplers, func(levers hub.Sampling) error { return levers.SetRatio(ratio) }); err != nil {
		return err
	}
	return a.changed(w, req, samplingJSON{ratio})
}

func (a *api) setIntake(set func(hub.Intake) error) error {
	receivers := a.registry.intake.every()
	if len(receivers) == 0 {
		return newProblem(http.StatusConflict, "", "there is nothing to control: no scope receiver has this extension as its hub")
	}
	return setAll(receivers, set)
}

// samplers are the pressure processors, which follow what is set: without one
// it would be in force in name only.
func (a *api) samplers() ([]named[hub.Sampling], error) {
	processors := a.registry.sampling.every()
	if len(processors) == 0 {
		return nil, newProblem(http.StatusConflict, "", "there is nothing to control: no pressure processor has this extension as its hub")
	}
	return processors, nil
}

func setAll[T any](levers []named[T], set func(T) error) error {
	for _, of := range levers {
		if err := set(of.value); err != nil {
			return newProblem(http.StatusBadRequest, "", "%s: %s", of.id, err)
		}
	}
	return nil
}

// changed answers what is in force now, and logs it: who wonders why nothing
// comes through must be able to find out.
func (a *api) changed(w http.ResponseWriter, req *http.Request, inForce any) error {
	a.logger.Info("The pipeline was changed through the API",
		zap.String("call", req.Method+" "+req.URL.Path), zap.Any("in_force", inForce))
	writeJSON(w, "application/json", http.StatusOK, inForce)
	return nil
}
