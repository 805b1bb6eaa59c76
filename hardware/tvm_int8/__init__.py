"""Networks in 8-bit integers, compiled by TVM for the processor or a CUDA device (extra ``tvm``)."""
