"""The obs stages: values and codes, and per category the centroids and the outlier quantiles.

The last two are reductions. Every column is coded first (`columns`); then one pass over the latent
space and the points gives the mean of each category (`means`); a second gives the distance of every
cell to the mean of its category (`distances`); and a sort per column turns distances into quantiles
and centroids (`ranks`).
"""
