from dashboards import components
from dashboards.language import words

_ = words()
with components.page_head("Screen", "soon"):
    pass
