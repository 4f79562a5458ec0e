"""Tables, confidence intervals and the HTML report, made from the folders that the stages left behind."""
