"""The folders of pytorch-pretrained-BERT, PyTorch's first BERT."""
