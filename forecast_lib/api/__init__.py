"""What a notebook uses: a workspace's tables and pictures, and the engine on data frames of one's own.

Frames in the long layout of Nixtla's libraries go in and come out (`long`), of pandas, polars or Arrow alike
(`frames`). All names that are meant for use are in `forecast_lib.__all__`.
"""
