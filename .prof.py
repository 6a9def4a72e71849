import cProfile,pstats,sys,time
import numpy as np
sys.path.insert(0,".")
from tests.analysis.months import *
import time
from probe.analysis.standing import standings
from probe.analysis.claims import of_standings
t=time.process_time(); ms=[month(np.random.default_rng(i)) for i in range(5)]; print("gen",(time.process_time()-t)/5)

from probe.analysis import stretches as S
n=[0,0]; old=S.changes
def ch(*a): n[0]+=1; return old(*a)
S.changes=ch
told(np.random.default_rng(0))
n[0]=0
t=time.process_time()
for i in range(6): print([(x.what,x.service,x.networks,x.sure) for x in told(np.random.default_rng(i))])
print((time.process_time()-t)/6, n)
