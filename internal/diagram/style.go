package diagram

import "github.com/otelscope/otelscope/internal/causal"

// look is how edges of a kind are drawn: each has a colour and a pattern of
// its own, so that either is enough.
type look struct {
	class string
	words string // for the legend
	color string // on white
	dash  string // of SVG; "" is solid
	width string
	style string // of DOT
}

var looks = map[causal.Type]look{
	causal.ParentChild:      {class: "parent", words: "parent and child", color: "#7b8794", width: "1", style: "solid"},
	causal.MessageFlow:      {class: "message", words: "message", color: "#0b63b6", width: "1.6", style: "solid"},
	causal.StateTransition:  {class: "state", words: "state transition", color: "#8a4fb0", dash: "2 3", width: "2", style: "dotted"},
	causal.ErrorPropagation: {class: "error", words: "error led to", color: "#d0342c", dash: "9 4", width: "2.4", style: "dashed,bold"},
	causal.ProcessSpawn:     {class: "spawn", words: "process spawn", color: "#0a7d55", dash: "8 3 2 3", width: "1.8", style: "dashed"},
	causal.Other:            {class: "other", words: "other link", color: "#7a5c2e", dash: "4 4", width: "1.4", style: "dotted"},
}

// darkColors are the edges' colours on a dark ground.
var darkColors = map[causal.Type]string{
	causal.ParentChild:      "#8592a0",
	causal.MessageFlow:      "#6cb2f5",
	causal.StateTransition:  "#cf9df0",
	causal.ErrorPropagation: "#ff7a70",
	causal.ProcessSpawn:     "#4fd0a0",
	causal.Other:            "#d3b179",
}

const lightStyle = `
text{font:12px ui-monospace,SFMono-Regular,Menlo,Consolas,"DejaVu Sans Mono",monospace;font-size:11.5px;fill:#1b2430;unicode-bidi:isolate}
.title,.sub,.key,.service,.none{font-family:system-ui,-apple-system,"Segoe UI",Roboto,"DejaVu Sans",sans-serif}
.title{font-size:17px;font-weight:600}
.sub,.key{font-size:12px;fill:#52606d}
.bad{fill:#b3261e;font-weight:600}
.service{font-size:12.5px;font-weight:600}
.small{font-size:10px;fill:#52606d}
.bg{fill:#fff}
.band{fill:#f3f5f8}
.life{stroke:#c3ccd6;stroke-width:1;fill:none}
.head{fill:#e3e8ee;stroke:none}
.break{stroke:#9aa6b2;stroke-width:1;stroke-dasharray:1 4;fill:none}
.asked{fill:#f2b200;fill-opacity:.13}
.box{fill:#fff;stroke:#8c99a6;stroke-width:1}
.bar{fill:#c6d0da;stroke:none}
.elbow{stroke:#aab5c0;stroke-width:1;fill:none}
.icon{fill:#52606d;stroke:#52606d;stroke-width:1.4}
.hollow{fill:none}
.fail .box{fill:#fdecea;stroke:#c62828;stroke-width:1.6}
.fail text{fill:#8e1414;font-weight:600}
.fail.bar{fill:#e79a94}
.stop{fill:#c62828;stroke:none}
.cross{stroke:#fff;stroke-width:1.6;fill:none}
.open .box{stroke:#a86400;stroke-width:1.6;stroke-dasharray:5 2}
.open.bar{fill:none;stroke:#a86400;stroke-width:1.3;stroke-dasharray:4 3}
.open.fail.bar{stroke:#c62828}
.missing .box{fill:none;stroke:#6b7785;stroke-width:1.3;stroke-dasharray:2 3}
.missing text{fill:#52606d;font-style:italic}
.ring{fill:none;stroke:#d99a00;stroke-width:2.4}
.root text{font-weight:600}
a:hover .box,a:focus .box{stroke-width:2.6}
.way{fill:none;stroke:#ff5a4e;stroke-width:8;stroke-opacity:.22;stroke-linejoin:round}
.wire{fill:none;stroke-linejoin:round}
.unsure{stroke-opacity:.55}
.conf{font-size:10px;stroke:#fff;stroke-width:3px;stroke-linejoin:round;paint-order:stroke}
`

const darkStyle = `
text{fill:#e4e9ef}
.sub,.key,.small{fill:#a3afbc}
.bad{fill:#ff9087}
.bg{fill:#11161c}
.band{fill:#19202a}
.life{stroke:#3b4754}
.head{fill:#2b3541}
.break{stroke:#67737f}
.asked{fill:#f2b200;fill-opacity:.14}
.box{fill:#202934;stroke:#74818f}
.bar{fill:#46525f}
.elbow{stroke:#5d6a77}
.icon{fill:#a3afbc;stroke:#a3afbc}
.hollow{fill:none}
.fail .box{fill:#46201f;stroke:#ff7a70}
.fail text{fill:#ffc9c4}
.fail.bar{fill:#8d3a35}
.stop{fill:#ff7a70}
.cross{stroke:#2a0f0e}
.open .box{stroke:#f0b04a}
.open.bar{fill:none;stroke:#f0b04a}
.open.fail.bar{stroke:#ff7a70}
.missing .box{fill:none;stroke:#8c99a6}
.missing text{fill:#a3afbc}
.ring{stroke:#f2c14a}
.way{stroke-opacity:.3}
.conf{stroke:#11161c}
`

// style returns the style sheet with the looks of the edges.
func style() string {
	light, dark := lightStyle, darkStyle
	for _, t := range drawn {
		k := looks[t]
		light += "." + k.class + "{stroke:" + k.color + ";stroke-width:" + k.width
		if k.dash != "" {
			light += ";stroke-dasharray:" + k.dash
		}
		light += "}\n.to-" + k.class + "{fill:" + k.color + "}\n"
		dark += "." + k.class + "{stroke:" + darkColors[t] + "}\n.to-" + k.class + "{fill:" + darkColors[t] + "}\n"
	}
	return light + "@media (prefers-color-scheme:dark){" + dark + "}\n"
}
