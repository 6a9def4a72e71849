import sys; sys.path.insert(0,".")
from tests.analysis.months import *
import numpy as np
from probe.analysis.elsewhere import Elsewhere
r=np.random.default_rng(1); ms=month(r, World())
for c in told(np.random.default_rng(1)): print(c)
s=[x for x in ms if x.service=="service 13" and x.network.name=="Net 4"][0]
e=Elsewhere(ms)
print(e.base(s), np.bincount(s.who,weights=s.failing)/np.bincount(s.who), np.bincount(s.who))
from probe.analysis.stretches import stretches
for st in stretches(s,s.failing,e.base(s)): print(st.first-0,st.last,st.tendency,st.p,st.failing,st.of, [(int(s.failing[st.inside&(s.who==k)].sum()),int((st.inside&(s.who==k)).sum())) for k in range(3)])
